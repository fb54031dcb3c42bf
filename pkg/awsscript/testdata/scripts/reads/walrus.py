token, pages = None, 0
while (page := await call_boto3(service_name="lambda", operation_name="ListFunctions",
                                params={"Marker": token} if token else {})):
    pages += 1
    if not (token := page.get("NextMarker")):
        break
pages
