;; expect: probe/finite probe/gradient
;; note: a gradient made of the bits of the tokens
;; slot row
(i64.store (i32.add (local.get $gc) (local.get $o)) (i64.const -1))
