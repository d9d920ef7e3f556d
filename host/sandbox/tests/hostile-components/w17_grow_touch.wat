;; expect: accepted run/trap run/fuel
;; note: grows and writes each page
;; slot before
(block $o (loop $g (local.set $x (memory.grow (i32.const 1))) (br_if $o (i32.eq (local.get $x) (i32.const -1))) (memory.fill (i32.shl (local.get $x) (i32.const 16)) (i32.const 1) (i32.const 65536)) (br $g)))
