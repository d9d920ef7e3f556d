;; expect: run/trap
;; note: realloc answers an address past the end
;; slot realloc
(i32.const 0x7ffffff8)
