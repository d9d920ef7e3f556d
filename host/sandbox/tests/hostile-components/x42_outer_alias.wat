;; expect: component/structure
;; note: a nested component that runs the module of its parent
;; slot export
(component (core instance (instantiate $loss))) (export "lossbox:preference/loss@0.1.0" (instance $interface))
