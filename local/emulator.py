"""AWS on this machine: ministack, with the few things mended that this project's template needs.

ministack accepts our template but drops parts of it silently (an HTTP API without a single route deploys "successfully"), so
each repair below says what would happen without it. They reach into private internals: the version is pinned exactly, another
one is refused, and the end-to-end tests assert that routes, authorizers and permissions exist.

Run by stack.py with an environment of its own; functions would otherwise inherit whatever the shell had.
"""

import functools
import http.server
import importlib.metadata
import json
import os
import sys
from email.utils import parseaddr
from typing import Any

MINISTACK = "1.5.33"

Headers = dict[str, str]


def main() -> None:
    installed = importlib.metadata.version("ministack")
    if installed != MINISTACK:
        sys.exit(f"emulator: written for ministack {MINISTACK}, found {installed}; remove .venv and run make run again")
    # It reads its settings when it is imported, so these come first.
    os.environ.setdefault("BIND_HOST", "127.0.0.1")
    os.environ.setdefault("IOT_MTLS_ENABLED", "0")
    os.environ.setdefault("SFTP_ENABLED", "0")

    import ministack.app as app

    import_api_bodies()
    apply_time_to_live()
    answer_at_once()
    let_health_reach_the_api(app)
    keep_the_last_slash(app)
    refuse_tokens_that_cannot_be_read()
    give_functions_only_their_own_environment()
    count_loopback_as_tls(app)
    name_the_keys_of_a_request()
    count_a_batch_as_its_messages()
    name_the_sender_of_a_mail(app)
    app.main()


def import_api_bodies() -> None:
    """AWS::ApiGatewayV2::Api: take routes, integrations and authorizers from the OpenAPI body.

    SAM writes every route of AWS::Serverless::HttpApi there. Unmended the body is ignored: no routes, no authorizers.
    """
    import ministack.services.cloudformation.provisioners as provisioners

    handlers = provisioners._RESOURCE_HANDLERS["AWS::ApiGatewayV2::Api"]
    create_api, update_api = handlers["create"], handlers["update"]

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        result = create_api(logical_id, properties, stack)
        import_body(result[0], properties)
        return result

    def update(api: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str | None = None) -> Any:
        result = update_api(api, old, new, stack, logical_id)
        import_body(result[0], new)
        return result

    handlers["create"], handlers["update"] = create, update


def import_body(api: str, properties: dict[str, Any]) -> None:
    from ministack.services import apigateway

    settings = apigateway._apis[api]
    if isinstance(settings.get("corsConfiguration"), dict):
        settings["corsConfiguration"] = camel_case(settings["corsConfiguration"])
    body = properties.get("Body")
    if not body:
        return
    title = (body.get("info") or {}).get("title")
    if title and not properties.get("Name"):
        settings["name"] = str(title)
    if body.get("x-amazon-apigateway-cors"):
        settings["corsConfiguration"] = camel_case(body["x-amazon-apigateway-cors"])

    schemes = (body.get("components") or {}).get("securitySchemes") or {}
    authorizers = {name: authorizer(name, scheme) for name, scheme in schemes.items()}
    authorizers = {name: found for name, found in authorizers.items() if found}
    integrations: dict[str, Any] = {}
    routes: dict[str, Any] = {}
    for path, operations in (body.get("paths") or {}).items():
        for verb, operation in operations.items():
            if isinstance(operation, dict) and operation.get("x-amazon-apigateway-integration"):
                target = integration(operation["x-amazon-apigateway-integration"])
                integrations[target["integrationId"]] = target
                found = route(path, verb, operation, target["integrationId"], authorizers)
                routes[found["routeId"]] = found
    apigateway._authorizers[api] = {found["authorizerId"]: found for found in authorizers.values()}
    apigateway._integrations[api] = integrations
    apigateway._routes[api] = routes


def authorizer(name: str, scheme: dict[str, Any]) -> dict[str, Any] | None:
    declared = scheme.get("x-amazon-apigateway-authorizer")
    if not declared:
        return None
    source = declared.get("identitySource") or []
    token = declared.get("jwtConfiguration") or {}
    return {
        "authorizerId": new_id(),
        "name": name,
        "authorizerType": declared["type"].upper(),
        "identitySource": [part.strip() for part in source.split(",")] if isinstance(source, str) else source,
        "jwtConfiguration": {"audience": token.get("audience", []), "issuer": token.get("issuer", "")},
        "authorizerUri": declared.get("authorizerUri", ""),
        "authorizerPayloadFormatVersion": declared.get("authorizerPayloadFormatVersion", "2.0"),
        "authorizerResultTtlInSeconds": declared.get("authorizerResultTtlInSeconds", 300),
        "enableSimpleResponses": declared.get("enableSimpleResponses", False),
        "authorizerCredentialsArn": declared.get("authorizerCredentials", ""),
    }


def integration(declared: dict[str, Any]) -> dict[str, Any]:
    return {
        "integrationId": new_id(),
        "integrationType": declared["type"].upper(),
        "integrationUri": declared.get("uri", ""),
        "integrationMethod": declared.get("httpMethod", "POST"),
        "payloadFormatVersion": str(declared.get("payloadFormatVersion", "2.0")),
        "timeoutInMillis": declared.get("timeoutInMillis", 30000),
        "connectionType": "INTERNET",
    }


def route(
    path: str, verb: str, operation: dict[str, Any], integration_id: str, authorizers: dict[str, Any]
) -> dict[str, Any]:
    method = "ANY" if verb == "x-amazon-apigateway-any-method" else verb.upper()
    kind, authorizer_id, scopes = "NONE", None, []
    for requirement in operation.get("security") or []:
        for name, wanted in requirement.items():
            if name in authorizers:
                found = authorizers[name]
                kind = "JWT" if found["authorizerType"] == "JWT" else "CUSTOM"
                authorizer_id, scopes = found["authorizerId"], wanted or []
    return {
        "routeId": new_id(),
        "routeKey": "$default" if path in ("$default", "/$default") else f"{method} {path}",
        "target": f"integrations/{integration_id}",
        "authorizationType": kind,
        "authorizerId": authorizer_id,
        "authorizationScopes": scopes,
        "apiKeyRequired": False,
        "operationName": "",
        "requestModels": {},
        "requestParameters": {},
    }


def apply_time_to_live() -> None:
    """AWS::DynamoDB::Table: TimeToLiveSpecification is ignored; apply it through the service's own call."""
    import ministack.services.cloudformation.provisioners as provisioners

    handlers = provisioners._RESOURCE_HANDLERS["AWS::DynamoDB::Table"]
    create_table, update_table = handlers["create"], handlers["update"]

    def apply(table: str, properties: dict[str, Any]) -> None:
        wanted = properties.get("TimeToLiveSpecification")
        if wanted:
            enabled = str(wanted.get("Enabled")).lower() == "true"
            specification = {"AttributeName": wanted.get("AttributeName"), "Enabled": enabled}
            provisioners._dynamodb._update_ttl({"TableName": table, "TimeToLiveSpecification": specification})

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        result = create_table(logical_id, properties, stack)
        apply(result[0], properties)
        return result

    def update(table: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str | None = None) -> Any:
        named = (logical_id,) if handlers.get("update_with_logical_id") else ()
        result = update_table(table, old, new, stack, *named)
        apply(result[0], new)
        return result

    handlers["create"], handlers["update"] = create, update


def answer_at_once() -> None:
    """A call takes 5 ms and not 100: no Nagle on the Runtime API's socket, no 50 ms wait for log lines that never come."""
    from ministack.core import lambda_runtime

    http.server.BaseHTTPRequestHandler.disable_nagle_algorithm = True  # type: ignore[attr-defined]
    worker = lambda_runtime.ProvidedWorker
    worker._drain_stderr_bounded = functools.partialmethod(
        worker._drain_stderr_bounded, first_line_wait=0.002, idle_confirm=0.002
    )


def let_health_reach_the_api(app: Any) -> None:
    """GET /health addressed to the API by host name is answered by ministack itself otherwise."""
    handle = app._handle_pre_body_request

    async def pass_on(method: str, path: str, headers: Headers, query: dict[str, Any], request_id: str) -> Any:
        if path == "/health" and app._EXECUTE_API_RE.match(headers.get("host", "")):
            return None
        return await handle(method, path, headers, query, request_id)

    app._handle_pre_body_request = pass_on


def keep_the_last_slash(app: Any) -> None:
    """Of /plans/ the emulator makes /plans; on AWS they are two routes, and only one of them may exist."""
    parse = app._parse_execute_api_url

    def parse_exactly(host: str, path: str) -> tuple[str, str, str] | None:
        parsed = parse(host, path)
        if parsed and parsed[2] == "/" and path.endswith(f"/{parsed[1]}/"):
            api, segment, _ = parsed
            return api, "$default", f"/{segment}/"
        return parsed

    app._parse_execute_api_url = parse_exactly


def refuse_tokens_that_cannot_be_read() -> None:
    """What AWS's authorizer refuses and this one does not: another algorithm, and times that are no numbers (a crash here).

    That a token without `exp` passes stays as it is: functions check claims again, and this is where one sees that they do.
    """
    from ministack.services import apigateway

    validate, unauthorized = apigateway._validate_jwt_authorizer, apigateway._jwt_unauthorized

    async def refuse(route: Any, authorizer: dict[str, Any], headers: Headers, query: dict[str, Any]) -> Any:
        try:
            token = apigateway._extract_token_from_identity_source(authorizer.get("identitySource", []), headers, query)
            if token and json.loads(apigateway._b64url_decode(token.split(".")[0]))["alg"] != "RS256":
                return None, None, unauthorized()
            return await validate(route, authorizer, headers, query)
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
            return None, None, unauthorized()

    apigateway._validate_jwt_authorizer = refuse


def give_functions_only_their_own_environment() -> None:
    """Functions inherit the emulator's variables; on AWS they see none of its machine, but are told how to write logs."""
    from ministack.services import lambda_svc

    build = lambda_svc._provided_worker_env
    # What the runtime sets for every function, although the emulator has variables of the same names.
    runtime = {"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
    inherited = set(os.environ) - runtime - {"AWS_ENDPOINT_URL", "LANG", "PATH"}

    def environment(config: dict[str, Any], code: str, port: int) -> dict[str, str]:
        declared = (config.get("Environment") or {}).get("Variables") or {}
        whole = build(config, code, port)
        own = {key: value for key, value in whole.items() if key not in inherited or key in declared}
        return own | {"AWS_LAMBDA_LOG_FORMAT": (config.get("LoggingConfig") or {}).get("LogFormat", "Text")}

    lambda_svc._provided_worker_env = environment


def count_loopback_as_tls(app: Any) -> None:
    """The queues refuse plain HTTP (aws:SecureTransport); on loopback there is no other, and nobody listens in."""
    pin = app.pin_request_origin

    def pinned(address: str, secure: bool) -> None:
        pin(address, secure or address == "127.0.0.1")

    app.pin_request_origin = pinned


def name_the_keys_of_a_request() -> None:
    """Roles that may touch one record only (dynamodb:LeadingKeys) could touch all: the emulator leaves the keys unnamed."""
    from ministack.core import iam_actions

    describe = iam_actions.dynamodb_service_context

    def described(body: bytes) -> dict[str, Any]:
        keys = sorted(set(partition_keys(body)))
        return describe(body) | ({"dynamodb:LeadingKeys": keys} if keys else {})

    iam_actions.dynamodb_service_context = described


def partition_keys(body: bytes) -> list[str]:
    """The partition keys that a read or write of items names. A query names its own in an expression, and is not asked."""
    try:
        request = json.loads(body)
        tables = request.get("RequestItems", {}).values()
        items = [key for table in tables if isinstance(table, dict) for key in table.get("Keys", [])]
        for operation in [request, *(entry for item in request.get("TransactItems", []) for entry in item.values())]:
            items += [operation[part] for part in ("Key", "Item") if part in operation]
        return [item["pk"]["S"] for item in items]
    except (AttributeError, KeyError, TypeError, ValueError):
        return []  # not ours to refuse: the service does that


def count_a_batch_as_its_messages() -> None:
    """sqs:SendMessage is what AWS asks for to send a batch; the emulator asks for an action that no policy can grant."""
    from ministack.core import iam_actions

    extract = iam_actions.extract_iam_action

    def extracted(service: str, *request: Any) -> str | None:
        action = extract(service, *request)
        return action.removesuffix("Batch") if action and service == "sqs" else action

    iam_actions.extract_iam_action = extracted


def name_the_sender_of_a_mail(app: Any) -> None:
    """A role that may send from one address (its identity, ses:FromAddress) may send nothing: the emulator names neither."""
    enforce = app._enforce_ses_v2

    def enforced(method: str, path: str, headers: Headers, body: bytes, query: dict[str, Any], request_id: str) -> Any:
        from ministack.core.responses import get_account_id

        if (method, path.rstrip("/")) != ("POST", "/v2/email/outbound-emails"):
            return enforce(method, path, headers, body, query, request_id)
        sender = sender_of(body)
        identity = f"arn:aws:ses:{app.extract_region(headers, query)}:{get_account_id()}:identity/{sender}"
        asked = {"resource_arn": identity, "named_resource": identity, "service_context": {"ses:FromAddress": sender}}
        return app._enforce_data_plane("sesv2", "ses:SendEmail", headers, query, request_id, **asked)

    app._enforce_ses_v2 = enforced


def sender_of(body: bytes) -> str:
    """Their address, which AWS asks about without the name."""
    try:
        return parseaddr(str(json.loads(body)["FromEmailAddress"]))[1]
    except (KeyError, TypeError, ValueError):
        return ""  # not ours to refuse: the service does that


def camel_case(settings: dict[str, Any]) -> dict[str, Any]:
    return {key[0].lower() + key[1:]: value for key, value in settings.items()}


def new_id() -> str:
    from ministack.core.responses import new_uuid

    return new_uuid()[:8]


if __name__ == "__main__":
    main()
