;; expect: component/code
;; note: 65 blocks around an instruction
;; slot items
(func (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (block (nop)))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))
