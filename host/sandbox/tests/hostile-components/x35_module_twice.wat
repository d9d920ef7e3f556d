;; expect: component/structure
;; note: one module, two instances
;; slot instance
(core instance $core (instantiate $loss)) (core instance (instantiate $loss))
