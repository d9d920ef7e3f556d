;; expect: run/trap
;; note: reads past the end of memory
;; slot before
(drop (i64.load offset=65528 (i32.const 0x7ffffff0)))
