// A component that is rendered anew only when its properties changed.

import { Component, type ComponentType, createElement, type FunctionComponent } from "preact";

export function memo<P extends object>(Inner: FunctionComponent<P>): ComponentType<P> {
  return class extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>) {
      const keys = Object.keys(next) as (keyof P)[];
      return keys.some((key) => next[key] !== (this.props as Readonly<P>)[key]);
    }
    render() {
      return createElement(Inner, this.props as P);
    }
  };
}
