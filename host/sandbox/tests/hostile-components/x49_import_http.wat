;; expect: component/no-imports
;; note: HTTP
;; slot component
(component (import "wasi:http/outgoing-handler@0.2.0" (instance))
