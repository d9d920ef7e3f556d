;; expect: probe/metadata run/trap run/crash
;; note: a name of a megabyte
;; slot describe
(drop (memory.grow (i32.const 32))) (memory.fill (i32.const 65536) (i32.const 97) (i32.const 1048576)) (i32.store (i32.const 0x800) (i32.const 65536)) (i32.store (i32.const 0x804) (i32.const 1048576)) (i32.const 0x800)
