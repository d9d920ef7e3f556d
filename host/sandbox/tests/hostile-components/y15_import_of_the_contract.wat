;; expect: component/no-imports component/world
;; note: imports the interface that it should export
(component (import "lossbox:preference/loss@0.1.0" (instance)))
