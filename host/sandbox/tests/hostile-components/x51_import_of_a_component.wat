;; expect: component/no-imports
;; note: imports a component
(component (import "c" (component)))
