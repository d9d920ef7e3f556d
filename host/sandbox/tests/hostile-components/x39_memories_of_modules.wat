;; expect: component/memory
;; note: three memories in three modules
;; slot export
(core module (memory 1 1)) (core module (memory 1 1)) (export "lossbox:preference/loss@0.1.0" (instance $interface))
