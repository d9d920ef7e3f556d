;; expect: component/no-imports
;; note: imports the module that brings the memory
;; slot component
(component (import "env" (core module (export "memory" (memory 8))))
