import{g as e,j as r}from"./chunk.js";function i(){return e(r,{text:"Delivery"})}export{i as DeliveryPage};
