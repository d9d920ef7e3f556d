;; expect: component/no-imports run/world
;; note: WASI of another version
(component (import "wasi:random/random@0.3.0" (instance)))
