resp = await make_request(method="GET", url="https://search-logs.eu-west-1.es.amazonaws.com/_cat/indices?format=json",
                          service_name="es", region_name="eu-west-1")
resp
