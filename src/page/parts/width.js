import { useLayoutEffect, useRef, useState } from "../preact.js";

/**
 * Return a ref and the width of its element, now and when it changes. `first`: until it is known. `step`: the width
 * changes in such steps, so that a scrollbar draws nothing anew.
 */
export function useWidth({ first = 0, step = 1 } = {}) {
  const box = useRef(null);
  const [width, setWidth] = useState(first);
  useLayoutEffect(() => {
    const sizes = new ResizeObserver(([{ contentRect }]) => setWidth(Math.floor(contentRect.width / step) * step));
    sizes.observe(box.current);
    return () => sizes.disconnect();
  }, []);
  return [box, width];
}
