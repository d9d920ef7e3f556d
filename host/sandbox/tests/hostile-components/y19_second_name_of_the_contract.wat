;; expect: component/world
;; note: the contract in another version beside the right one
;; slot export
(export "lossbox:preference/loss@0.1.0" (instance $interface)) (export "lossbox:preference/loss@0.2.0" (instance $interface))
