;; expect: run/trap
;; note: realloc answers an odd address
;; slot realloc
(i32.add (call $bump (i32.add (local.get $bytes) (i32.const 8))) (i32.const 1))
