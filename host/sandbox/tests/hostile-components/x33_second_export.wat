;; expect: component/world
;; note: the interface under two names
;; slot export
(export "lossbox:preference/loss@0.1.0" (instance $interface)) (export "more" (instance $interface))
