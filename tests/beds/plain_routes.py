"""An HTTPRoute with everything in it, for Gateway `ai`, and the resources that it names.

Its Backends `plain`, `secure` and `address` are defined elsewhere.
"""

LONG_BODY = "x" * 9000

PLAIN_ROUTES = f"""
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: everything}}
spec:
  parentRefs: [{{name: ai}}]
  rules:
    - matches:
        - path: {{type: Exact, value: /exact}}
          method: GET
          headers:
            - {{name: X-Team, value: "a%b"}}
            - {{name: Host, type: RegularExpression, value: "a.*"}}
          queryParams:
            - {{name: q, value: "1"}}
            - {{name: r, type: RegularExpression, value: "[0-9]+"}}
        - path: {{type: RegularExpression, value: "/files/[^/]+"}}
        - path: {{type: PathPrefix, value: /v1}}
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier:
            set: [{{name: X-Set, value: "100%"}}]
            add: [{{name: x-add, value: b}}]
            remove: [x-gone]
        - type: ResponseHeaderModifier
          responseHeaderModifier: {{set: [{{name: x-answer, value: c}}], remove: [server]}}
        - type: RequestMirror
          requestMirror:
            backendRef: {{group: gateway.envoyproxy.io, kind: Backend, name: secure}}
            fraction: {{numerator: 1, denominator: 3}}
        - type: URLRewrite
          urlRewrite:
            hostname: other.internal
            path: {{type: ReplaceFullPath, replaceFullPath: /new}}
      backendRefs:
        - {{group: gateway.envoyproxy.io, kind: Backend, name: plain, weight: 2}}
        - {{group: gateway.envoyproxy.io, kind: Backend, name: secure}}
      timeouts: {{request: 10s, backendRequest: 3s}}
      retry: {{codes: [500, 503], attempts: 2, backoff: 100ms}}
    - matches: [{{path: {{value: /old.}}}}]
      filters:
        - type: URLRewrite
          urlRewrite: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /}}}}
      backendRefs: [{{group: gateway.envoyproxy.io, kind: Backend, name: address}}]
    - matches: [{{path: {{value: /away}}}}]
      filters:
        - type: RequestRedirect
          requestRedirect:
            scheme: https
            statusCode: 308
            path: {{type: ReplacePrefixMatch, replacePrefixMatch: /there}}
    - matches: [{{path: {{value: /away-too}}}}]
      filters:
        - type: RequestRedirect
          requestRedirect:
            hostname: a.example
            port: 8443
            path: {{type: ReplaceFullPath, replaceFullPath: /x}}
    - matches: [{{path: {{value: /direct}}}}]
      filters:
        - type: ExtensionRef
          extensionRef: {{group: gateway.envoyproxy.io, kind: HTTPRouteFilter, name: direct}}
    - matches: [{{path: {{value: /pattern}}}}]
      filters:
        - type: ExtensionRef
          extensionRef: {{group: gateway.envoyproxy.io, kind: HTTPRouteFilter, name: pattern}}
      backendRefs: [{{group: gateway.envoyproxy.io, kind: Backend, name: plain}}]
    - backendRefs: [{{name: service, port: 80}}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: HTTPRouteFilter
metadata: {{name: direct}}
spec:
  directResponse:
    statusCode: 418
    contentType: text/plain
    body: {{type: ValueRef, valueRef: {{group: "", kind: ConfigMap, name: texts}}}}
    header: {{set: [{{name: x-direct, value: "5%"}}]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: texts}}
data: {{response.body: "{LONG_BODY}"}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: HTTPRouteFilter
metadata: {{name: pattern}}
spec:
  urlRewrite:
    hostname: {{type: Backend}}
    path:
      type: ReplaceRegexMatch
      replaceRegexMatch: {{pattern: "^/pattern/([^/]+)", substitution: '/\\1'}}
---
"""
