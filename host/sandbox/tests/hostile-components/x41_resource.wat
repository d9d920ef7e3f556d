;; expect: component/canonical
;; note: a resource of its own
;; slot export
(type (resource (rep i32))) (export "lossbox:preference/loss@0.1.0" (instance $interface))
