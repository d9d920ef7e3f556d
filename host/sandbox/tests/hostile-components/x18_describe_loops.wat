;; expect: run/fuel
;; note: describe loops
;; slot describe
(loop $x (br $x)) (i32.const 0x800)
