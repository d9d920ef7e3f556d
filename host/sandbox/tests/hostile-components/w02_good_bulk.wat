;; expect: accepted
;; note: correct plugin with bulk memory and a small table as rustc emits
;; slot items
(table 1 1 funcref) (global $sp (mut i32) (i32.const 900)) (elem (i32.const 0) $bump)
;; slot before
(memory.fill (i32.const 0x400) (i32.const 0) (i32.const 40))
