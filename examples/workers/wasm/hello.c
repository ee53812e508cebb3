// A request as CGI/1.1 has it: meta-variables in the environment, the body on stdin, the answer on stdout.
// clang-19 --target=wasm32-wasi -O2 -o hello.wasm hello.c
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  printf("Content-Type: text/plain\n\nHello from %s\n", getenv("PATH_INFO"));
  fprintf(stderr, "%s %s\n", getenv("REQUEST_METHOD"), getenv("PATH_INFO"));
  for (int c; (c = getchar()) != EOF;) putchar(c);  // and what was sent
}
