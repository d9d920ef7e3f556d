;; expect: run/trap
;; note: hyperparameters past the end of memory
;; slot describe
(i32.store (i32.const 0x824) (i32.const 0x7ffffff)) (i32.const 0x800)
