;; expect: component/no-imports
;; note: a WASI interface that std does not need
;; slot component
(component (import "wasi:sockets/tcp@0.2.0" (instance))
