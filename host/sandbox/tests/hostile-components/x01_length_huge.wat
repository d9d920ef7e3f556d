;; expect: run/trap run/lengths
;; note: a list of 4 G entries
;; slot result
(i32.store (i32.const 0x408) (i32.const -1)) (i32.const 0x400)
