;; expect: component/no-imports
;; note: imports a global and a table by way of a module
;; slot component
(component (import "env" (core module (export "g" (global (mut i32))) (export "t" (table 1 funcref))))
