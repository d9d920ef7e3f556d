;; expect: probe/metadata run/trap run/crash
;; note: a million hyperparameters in no memory
;; slot describe
(drop (memory.grow (i32.const 600))) (i32.store (i32.const 0x820) (i32.const 65536)) (i32.store (i32.const 0x824) (i32.const 1000000)) (i32.const 0x800)
