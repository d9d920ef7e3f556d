;; expect: component/world
;; note: fields in another order
;; replace "default" f64) (field "minimum" f64) => "minimum" f64) (field "default" f64)
