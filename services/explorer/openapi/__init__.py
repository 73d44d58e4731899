"""The description of the explorer's API (OpenAPI 3.1): `/openapi.json` for programs, `/docs` for people.

`schemas` says what answers look like, `parameters` what requests may say, `operations` what each resource does;
`document` joins them. A test compares all of it with the routes that are mounted, and schemathesis with real answers.
"""
