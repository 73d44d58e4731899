"""The description of the explorer's API (OpenAPI 3.1): `/openapi.json` for programs, `/docs` for people.

It is made of the tables that stand beside the API's functions: `document` joins operations, parameters and errors,
`schemas` has msgspec describe the structs that the functions return, `page` shows it. Tests compare it with the routes
that are mounted, and schemathesis with real answers.
"""
