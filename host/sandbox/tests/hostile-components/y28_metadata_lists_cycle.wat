;; expect: probe/metadata run/trap run/error
;; note: name, summary and hyperparameters are the same bytes
;; slot metadata
(data (i32.const 0x800) "\40\08\00\00\20\00\00\00" "\40\08\00\00\20\00\00\00"
  "\00\00\00\00\00\00\00\00\00\00\00\00" "\00\00\00\00" "\40\08\00\00\01\00\00\00")
