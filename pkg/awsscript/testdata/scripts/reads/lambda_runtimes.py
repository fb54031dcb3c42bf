from collections import Counter
functions = await call_boto3(service_name="lambda", operation_name="ListFunctions")
runtimes = Counter(f.get("Runtime", "image") for f in functions.get("Functions", []))
old = {r: n for r, n in runtimes.items() if r.startswith(("python3.7", "python3.8", "nodejs14", "nodejs16"))}
{"all": runtimes.most_common(), "old": old}
