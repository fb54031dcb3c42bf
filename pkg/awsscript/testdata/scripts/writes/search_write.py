await make_request(method="POST", url="https://search-x.eu-west-1.es.amazonaws.com/idx/_doc", service_name="es",
                   region_name="eu-west-1", body="{}")
