;; expect: run/lengths
;; note: says ok and writes nothing
;; slot before
(return (i32.const 0x600))
