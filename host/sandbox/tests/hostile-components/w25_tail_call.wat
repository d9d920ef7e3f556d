;; expect: component/proposals
;; note: endless tail call: no stack growth
;; slot items
(func $r (param i32) (result i32) (return_call $r (i32.add (local.get 0) (i32.const 1))))
;; slot before
(drop (call $r (i32.const 0)))
