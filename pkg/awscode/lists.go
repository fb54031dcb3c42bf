package awscode

import "strings"

// What a script may use. Everything that is not on these lists makes it
// incomplete: a list of forbidden tricks would never end.

// The ways out of the sandbox.
// https://docs.aws.amazon.com/aws-mcp/latest/userguide/understanding-mcp-server-tools.html
const (
	sinkCall    = "call_boto3"
	sinkRequest = "make_request"
)

// safeBuiltins are the builtin functions and classes that reach nothing but
// their arguments.
// https://docs.python.org/3.12/library/functions.html
var safeBuiltins = set(
	"abs", "aiter", "all", "anext", "any", "ascii", "bin", "bool", "bytearray", "bytes", "callable", "chr", "complex",
	"dict", "divmod", "enumerate", "filter", "float", "format", "frozenset", "hasattr", "hash", "hex", "id", "int",
	"isinstance",
	"issubclass", "iter", "len", "list", "map", "max", "min", "next", "oct", "ord", "pow", "print", "range", "repr",
	"reversed", "round", "set", "slice", "sorted", "str", "sum", "tuple", "type", "zip",
	"NotImplemented", "Ellipsis",
	"ArithmeticError", "AssertionError", "AttributeError", "BaseException", "BaseExceptionGroup", "BufferError",
	"ConnectionError", "EOFError", "Exception", "ExceptionGroup", "GeneratorExit", "ImportError", "IndexError",
	"KeyError", "KeyboardInterrupt", "LookupError", "MemoryError", "ModuleNotFoundError", "NameError",
	"NotImplementedError", "OSError", "OverflowError", "PermissionError", "RecursionError", "RuntimeError",
	"StopAsyncIteration", "StopIteration", "SyntaxError", "SystemError", "TimeoutError", "TypeError",
	"UnboundLocalError", "UnicodeDecodeError", "UnicodeEncodeError", "UnicodeError", "UserWarning", "ValueError",
	"Warning", "ZeroDivisionError",
)

// unsafeNames are never loaded or bound, whatever the script means by them: a
// name that it binds may still be read before.
var unsafeNames = set(
	"aws_mcp", "breakpoint", "builtins", "classmethod", "compile", "copyright", "credits", "delattr", "dir", "eval",
	"exec", "exit", "getattr", "globals", "help", "input", "license", "locals", "memoryview", "object", "open",
	"property", "quit", "setattr", "staticmethod", "super", "vars",
)

// modules are those that may be imported or used, with the members that may be.
// A member that is a module itself, or reaches one, is not among them.
var modules = map[string]map[string]bool{
	"asyncio": set(
		"ALL_COMPLETED", "BoundedSemaphore", "CancelledError", "Condition", "Event", "FIRST_COMPLETED",
		"FIRST_EXCEPTION", "Lock", "PriorityQueue", "Queue", "QueueEmpty", "QueueFull", "Semaphore", "TaskGroup",
		"TimeoutError", "as_completed", "create_task", "ensure_future", "gather", "iscoroutine", "run", "shield",
		"sleep", "timeout", "timeout_at", "wait", "wait_for",
	),
	"base64": set(
		"b64decode", "b64encode", "standard_b64decode", "standard_b64encode", "urlsafe_b64decode", "urlsafe_b64encode",
	),
	"bisect":   set("bisect", "bisect_left", "bisect_right", "insort", "insort_left", "insort_right"),
	"calendar": set("day_abbr", "day_name", "isleap", "month_abbr", "month_name", "monthrange", "timegm", "weekday"),
	"collections": set(
		"ChainMap", "Counter", "OrderedDict", "defaultdict", "deque", "namedtuple",
	),
	"copy": set("copy", "deepcopy"),
	"dataclasses": set(
		"asdict", "astuple", "dataclass", "field", "replace",
	),
	"datetime": set("MAXYEAR", "MINYEAR", "UTC", "date", "datetime", "time", "timedelta", "timezone"),
	"decimal": set(
		"Decimal", "InvalidOperation", "ROUND_CEILING", "ROUND_DOWN", "ROUND_FLOOR", "ROUND_HALF_DOWN",
		"ROUND_HALF_EVEN", "ROUND_HALF_UP", "ROUND_UP",
	),
	"fractions": set("Fraction"),
	"functools": set("cmp_to_key", "reduce"),
	"hashlib":   set("md5", "new", "sha1", "sha224", "sha256", "sha384", "sha512"),
	"heapq":     set("heapify", "heappop", "heappush", "heappushpop", "merge", "nlargest", "nsmallest"),
	"itertools": set(
		"accumulate", "batched", "chain", "combinations", "compress", "count", "cycle", "dropwhile", "filterfalse",
		"groupby", "islice", "pairwise", "permutations", "product", "repeat", "starmap", "takewhile", "tee",
		"zip_longest",
	),
	"json": set("JSONDecodeError", "dumps", "loads"),
	"math": set(
		"ceil", "copysign", "exp", "fabs", "floor", "fmod", "fsum", "gcd", "hypot", "inf", "isclose", "isfinite",
		"isinf", "isnan", "isqrt", "lcm", "log", "log10", "log2", "modf", "nan", "pi", "pow", "prod", "sqrt", "trunc",
	),
	"random": set("choice", "choices", "randint", "random", "randrange", "sample", "seed", "shuffle", "uniform"),
	"re": set(
		"A", "ASCII", "DOTALL", "I", "IGNORECASE", "M", "MULTILINE", "S", "VERBOSE", "X", "compile", "error", "escape",
		"findall", "finditer", "fullmatch", "match", "search", "split", "sub", "subn",
	),
	"statistics": set(
		"StatisticsError", "fmean", "harmonic_mean", "mean", "median", "median_high", "median_low", "mode", "multimode",
		"pstdev", "pvariance", "quantiles", "stdev", "variance",
	),
	"string": set(
		"ascii_letters", "ascii_lowercase", "ascii_uppercase", "digits", "hexdigits", "punctuation", "whitespace",
	),
	"textwrap": set("dedent", "fill", "indent", "shorten", "wrap"),
	"time": set(
		"gmtime", "localtime", "mktime", "monotonic", "perf_counter", "sleep", "strftime", "strptime", "time",
		"time_ns",
	),
	"typing": set(
		"Any", "AsyncIterator", "Awaitable", "Callable", "Dict", "Iterable", "Iterator", "List", "Literal", "Mapping",
		"Optional", "Sequence", "Set", "Tuple", "TypedDict", "Union",
	),
	"uuid": set("UUID", "uuid1", "uuid3", "uuid4", "uuid5"),
}

// preloaded are the modules that a script need not import.
var preloaded = set("asyncio", "collections", "datetime", "json", "math", "re", "time")

// unsafePrefixes begin attributes of frames, code, generators, coroutines and
// tracebacks.
// https://docs.python.org/3.12/library/inspect.html#types-and-members
var unsafePrefixes = []string{"f_", "gi_", "cr_", "ag_", "tb_", "co_", "func_", "gr_"}

// unsafeAttributes reach frames, code, tasks or modules from whatever has them,
// or call what they are given with arguments that this reader does not see.
var unsafeAttributes = set(
	"Formatter", "ForwardRef", "aws_mcp", "all_tasks", "attrgetter", "builtins", "call_soon", "call_boto3", "codecs",
	"current_task", "formatter", "get_context", "get_coro", "get_field", "get_loop", "get_stack", "get_type_hints",
	"get_value", "importlib", "inspect", "io", "linecache", "load_module", "loader", "make_request", "methodcaller",
	"modules", "mro", "obj", "os", "print_stack", "run_in_executor", "set_task_factory", "subprocess", "sys", "tasks",
	"threading", "traceback", "types", "warnings", "with_traceback",
)

// unsafeKeywords make a function that is safe call methods of an object by
// name, with arguments that this reader does not see.
var unsafeKeywords = set("file", "fp", "stream")

// copyingBuiltins give a collection of a collection's elements, or a number, and
// keep nothing of it.
var copyingBuiltins = set("len", "sorted", "enumerate", "list", "tuple", "set")

// isUnsafeName reports whether no script that can be read has name.
func isUnsafeName(name string) bool { return unsafeNames[name] || strings.HasPrefix(name, "__") }

// isUnsafeAttribute reports whether an attribute reaches more than its object.
func isUnsafeAttribute(name string) bool {
	if strings.HasPrefix(name, "_") {
		return name != "__name__"
	}
	for _, prefix := range unsafePrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return unsafeAttributes[name]
}
