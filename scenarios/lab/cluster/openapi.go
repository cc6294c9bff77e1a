package cluster

// openAPI is as much of the API's description as kubectl needs before it
// creates or applies: which objects may be changed, and that their fields are
// checked by the server. It is built of maps because the OpenAPI types are
// large and this is not.
func openAPI(path, version string) any {
	switch path {
	case "/openapi/v3":
		return map[string]any{"paths": map[string]any{
			"api/v1": map[string]any{"serverRelativeURL": "/openapi/v3/api/v1"},
		}}
	case "/openapi/v3/api/v1":
	default:
		return nil
	}
	paths := map[string]any{}
	for resource, k := range kinds {
		if !k.namespaced {
			continue
		}
		paths["/api/v1/namespaces/{namespace}/"+resource+"/{name}"] = map[string]any{
			"patch": map[string]any{
				"parameters": []any{map[string]any{
					"name": "fieldValidation", "in": "query", "schema": map[string]any{"type": "string"},
				}},
				"responses": map[string]any{},
				"x-kubernetes-group-version-kind": map[string]any{
					"group": "", "version": "v1", "kind": k.name,
				},
			},
		}
	}
	return map[string]any{
		"openapi": "3.0.0",
		"info":    map[string]any{"title": "Kubernetes (kasgen's stand-in)", "version": version},
		"paths":   paths,
	}
}
