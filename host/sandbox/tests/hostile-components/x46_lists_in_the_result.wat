;; expect: run/trap probe/scope probe/gradient probe/finite run/lengths
;; note: the lists lie over the record that describes them
;; slot result
(i32.store (i32.const 0x404) (i32.const 0x400)) (i32.const 0x400)
