;; expect: component/world
;; note: an instance without functions under the name of the contract
(component (instance $i) (export "lossbox:preference/loss@0.1.0" (instance $i)))
