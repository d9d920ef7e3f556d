;; expect: component/no-imports component/world component/valid
;; note: an interface that no WASI has
(component (import "wasi:filesystem/evil@0.2.0" (instance)))
