;; Writes an answer, as a CGI program does. wat2wasm -o hello.wasm hello.wat
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\29\00\00\00") ;; one vector: 41 bytes at 16
  (data (i32.const 16) "Content-Type: text/plain\0a\0aHello from WAT\0a")
  (func (export "_start")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
