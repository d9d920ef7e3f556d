;; expect: run/trap run/lengths
;; note: a list that begins within memory and ends beyond
;; slot result
(i32.store (i32.const 0x404) (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 8)))
(i32.store (i32.const 0x408) (i32.const 65536))
(i32.const 0x400)
