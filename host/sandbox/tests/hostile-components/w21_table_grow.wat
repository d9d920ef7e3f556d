;; expect: component/proposals
;; note: table.grow for ever, no memory used
;; slot items
(table $t 1 funcref)
;; slot before
(loop $x (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $x))
