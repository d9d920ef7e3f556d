;; expect: component/proposals
;; note: arrays on a heap outside linear memory
;; slot items
(type $a (array (mut i64)))
;; slot before
(drop (array.new_default $a (i32.const 50000000)))
