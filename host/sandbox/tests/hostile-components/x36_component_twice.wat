;; expect: component/structure
;; note: one component, two instances
;; slot export
(component $c) (instance (instantiate $c)) (instance (instantiate $c)) (export "lossbox:preference/loss@0.1.0" (instance $interface))
