;; expect: run/trap run/lengths run/crash
;; note: a list as long as memory allows
;; slot before
(drop (memory.grow (i32.const 900)))
;; slot result
(i32.store (i32.const 0x404) (i32.const 0)) (i32.store (i32.const 0x408) (i32.const 7000000)) (i32.const 0x400)
