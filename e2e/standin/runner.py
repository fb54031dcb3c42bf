# Runs a script as AWS's MCP server does: Python with await at the top, call_boto3 and
# make_request as ways out, modules that lie beside it, and the value of its last line.
import ast
import asyncio
import json
import os
import sys

source = os.fdopen(3, "rb").read().decode()
requests = os.fdopen(4, "w")
answers = os.fdopen(5, "r")
sys.path.insert(0, sys.argv[1])


def say(**message):
    requests.write(json.dumps(message, default=str) + "\n")
    requests.flush()


async def call(service, operation, region, params):
    say(call=True, service=service, operation=operation, region=region or "", params=params or {})
    reply = json.loads(answers.readline())
    if "error" in reply:
        raise RuntimeError(reply["error"])
    return reply["answer"]


async def call_boto3(*, service_name, operation_name, region_name=None, params=None):
    return await call(service_name, operation_name, region_name, params)


async def make_request(*, method, url, service_name, region_name=None, params=None, headers=None, body=None,
                       data=None, json=None, timeout=None):
    return await call(service_name, method.upper(), region_name, {"url": url})


async def run():
    tree = ast.parse(source)
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        target = ast.copy_location(ast.Name("_last_value", ast.Store()), tree.body[-1])
        tree.body[-1] = ast.copy_location(ast.Assign([target], tree.body[-1].value), tree.body[-1])
        ast.fix_missing_locations(tree)
    code = compile(tree, "<script>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names = {"__name__": "__main__", "call_boto3": call_boto3, "make_request": make_request, "asyncio": asyncio,
             "json": json}
    for module in ("collections", "datetime", "math", "re", "time"):
        names[module] = __import__(module)
    result = eval(code, names)
    if asyncio.iscoroutine(result):
        await result
    return names.get("_last_value")


try:
    value = asyncio.run(run())
except BaseException as failure:
    say(error=type(failure).__name__ + ": " + str(failure))
else:
    try:
        say(value=value)
    except (TypeError, ValueError, RecursionError):
        say(value=str(type(value)))
