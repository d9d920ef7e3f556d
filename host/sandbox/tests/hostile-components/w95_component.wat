;; expect: component/structure
;; note: a component in place of a module
(component (component (core module (memory (export "memory") 1 1))))
